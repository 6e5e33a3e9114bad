"""The steps of provisioning, in order."""

from __future__ import annotations

from pymachine.provisioners.base import Step
from pymachine.provisioners.steps.config import Config
from pymachine.provisioners.steps.firewall import Firewall
from pymachine.provisioners.steps.hostname import Hostname
from pymachine.provisioners.steps.login import Login
from pymachine.provisioners.steps.ownership import Ownership
from pymachine.provisioners.steps.packages import Packages
from pymachine.provisioners.steps.release import EngineRelease
from pymachine.provisioners.steps.service import READ_BY_ENGINE, Service
from pymachine.provisioners.steps.tls import TLS

__all__ = ["CERTIFICATE_STEPS", "READ_BY_ENGINE", "STEPS"]

STEPS: tuple[Step, ...] = (
    *(Hostname(), Packages(), EngineRelease()),
    *(Ownership(), TLS(), Config(), Firewall(), Login(), Service()),
)

CERTIFICATE_STEPS: tuple[Step, ...] = (TLS(), Service())
"""What brings new certificates to a provisioned host: the engine reads them again, and is not restarted."""
