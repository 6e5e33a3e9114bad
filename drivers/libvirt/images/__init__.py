"""Images of virtual machines: fetched or built once, kept by digest, copied once into each storage pool.

`pymachine.drivers.libvirt.images.library` keeps them on this computer, `fetch` and `build` fill it.
"""
