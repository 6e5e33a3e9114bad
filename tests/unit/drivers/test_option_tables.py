"""The pages of the drivers list every option, as it is declared."""

from __future__ import annotations

import pytest

from pymachine.drivers import registry
from support.optiontables import TABLE, page, table


@pytest.mark.parametrize("driver", sorted(registry.OURS))
def test_the_page_of_a_driver_has_all_its_options(driver: str) -> None:
    """If not: `PYTHONPATH=tests .venv/bin/python -m support.optiontables`, or `make format`, writes them."""
    assert TABLE.findall(page(driver).read_text()) == [table(driver)]
