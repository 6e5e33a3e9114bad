"""Base images of local machines: built from Debian's packages, stored by digest, never changed.

`pymachine.drivers.local.images.build` makes one, `pymachine.drivers.local.images.catalog` finds and removes.
"""
