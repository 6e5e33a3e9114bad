"""Container names: what is allowed, and made-up ones for containers that got none."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from pymachine.dockerapi.errors import InvalidArgument

_ALLOWED = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")

_ADJECTIVES = (
    "able airy amber ample ardent balmy bold brave breezy bright brisk calm candid careful cheery chief civil clear "
    "clever cosy crisp curious daring deft dapper eager early earnest easy exact fair fancy fleet fluent fond frank "
    "free fresh frosty gentle giddy glad golden good grand green handy happy hardy hasty hearty honest humble ideal "
    "jolly jovial keen kind lively loyal lucid lucky mellow merry mighty mild modest neat nimble noble patient placid "
    "plucky polite prompt proud quick quiet ready regal rosy rustic sandy serene sharp shiny silent silver sleek snug "
    "sober solid spry steady stoic sturdy sunny sure swift tender thrifty tidy tough tranquil trusty upbeat valiant "
    "vivid warm wise witty zesty"
)

_SURNAMES = (
    "abel ampere archimedes avogadro babbage bardeen becquerel bell bernoulli bohr boole born bose boyle brahe bunsen "
    "cantor carnot carson cauchy cavendish celsius chandra clarke coulomb cray crick curie dalton darwin descartes "
    "dirac doppler edison ehrlich einstein euclid euler fahrenheit faraday fermat fermi fibonacci fleming foucault "
    "fourier franklin galileo galois galvani gauss germain gibbs goodall haber hadamard halley hamilton heisenberg "
    "hertz hilbert hooke hopper hubble huygens hypatia jacobi jenner joule kelvin kepler knuth kovalevskaya lagrange "
    "laplace lavoisier leibniz linnaeus lovelace mach marconi maxwell meitner mendel mercator minkowski napier newton "
    "nobel noether ohm pascal pasteur pauli pauling perlman planck poincare ptolemy raman ramanujan riemann ritchie "
    "roentgen rutherford sagan schrodinger shannon snell stokes tesla thales thompson turing volta watt weyl wiener "
    "wilson wright yalow zeno zuse"
)


def check(name: str) -> str:
    """*name* without its leading slash; raises `InvalidArgument` for one that is not allowed."""
    if not _ALLOWED.match(name):
        raise InvalidArgument(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return name.removeprefix("/")


def invent(taken: Callable[[str], bool]) -> str:
    """An ``adjective_surname`` that is not *taken*; with a number when luck runs out."""
    for attempt in range(6):
        name = f"{random.choice(_ADJECTIVES.split())}_{random.choice(_SURNAMES.split())}"
        if attempt:
            name += str(random.randrange(10**attempt))
        if not taken(name):
            return name
    return f"{random.choice(_ADJECTIVES.split())}_{random.getrandbits(64):x}"
