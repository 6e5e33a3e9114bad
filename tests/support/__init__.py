"""What several test suites share: busybox images, free ports, waiting."""
