"""pyengine, the container engine: Docker Engine API on top, Linux kernel below."""
