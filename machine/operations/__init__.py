"""Machine operations, one module a verb; free of the command line, so that programs can use them too."""
