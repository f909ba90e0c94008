"""The lower bounds of settings.ini as exact versions, for pip: python tools/oldest.py [train]"""
import sys
from configparser import ConfigParser
from pathlib import Path

CPU = 'tensorflow-cpu{0} ; platform_machine == "x86_64" and sys_platform != "darwin"\ntensorflow{0} ; platform_machine != "x86_64" or sys_platform == "darwin"'


def oldest(*extras):
    "The requirements, and those of the extras, with == for each >=."
    config = ConfigParser(delimiters=["="])
    config.read(Path(__file__).parents[1] / "settings.ini", encoding="utf-8")
    for key in ("requirements", *(f"{extra}_requirements" for extra in extras)):
        for requirement in config["DEFAULT"][key].split():
            name, sign, version = requirement.partition(">=")
            if not sign: sys.exit(f"settings.ini must give each of its {key} a lower bound, like numpy>=2, not {requirement}: add one")
            yield CPU.format(f"=={version}") if name == "tensorflow" else f"{name}=={version}"


if __name__ == "__main__": print(*oldest(*sys.argv[1:]), sep="\n")
