"""Go's text/template language, the subset that docs/templates.md describes, evaluated over JSON data.

Text in, text out: `pymachine.machine.gotemplate.template` parses and renders, nothing here reads or writes.
"""
