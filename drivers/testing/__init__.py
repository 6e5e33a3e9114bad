"""The contract suite that every driver passes, those of other packages too.

    from pymachine.drivers.testing import DriverContract

    class TestMyDriver(DriverContract):
        def new_driver(self, context):
            return MyDriver(MyDriver.Options(region="here"), context)

Run it with pytest. See `pymachine.drivers.testing.contract` for what may be overridden.
"""

from pymachine.drivers.testing.contract import DriverContract
from pymachine.drivers.testing.workbench import FileJournal, Workbench

__all__ = ["DriverContract", "FileJournal", "Workbench"]
