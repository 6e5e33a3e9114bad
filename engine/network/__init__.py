"""Networks: addresses, bridge, host and none, published ports."""
