"""The container runtime: spawner, shims, namespaces, cgroups, rootfs, capabilities, seccomp."""
