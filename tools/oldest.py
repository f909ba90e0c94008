"""The lower bounds of settings.ini as exact versions, for pip: python tools/oldest.py [train]

Below them what runs the tests, in the versions of requirements-dev.lock."""
import sys
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]
CPU = 'tensorflow-cpu{0} ; platform_machine == "x86_64" and sys_platform != "darwin"\ntensorflow{0} ; platform_machine != "x86_64" or sys_platform == "darwin"'


def oldest(*extras):
    "The requirements, and those of the extras, with == for each >=."
    config = ConfigParser(delimiters=["="])
    config.read(ROOT / "settings.ini", encoding="utf-8")
    for key in ("requirements", *(f"{extra}_requirements" for extra in extras)):
        for requirement in config["DEFAULT"][key].split():
            name, sign, version = requirement.partition(">=")
            if not sign: sys.exit(f"expected a lower bound, such as numpy>=2, in the {key} of settings.ini, got {requirement}: give it one")
            yield CPU.format(f"=={version}") if name == "tensorflow" else f"{name}=={version}"


if __name__ == "__main__":
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8").splitlines()
    print(*oldest(*sys.argv[1:]), *(line for line in lock if line.startswith(("pytest", "hypothesis", "setuptools", "wheel"))), sep="\n")
