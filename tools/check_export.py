"Fail if `nbdev_export` would change a file of the package: the notebooks are the source, the modules follow."
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def snapshot() -> dict[str, bytes]:
    "The content of every Python file of the package."
    return {p.name: p.read_bytes() for p in (ROOT / "latentfaces").glob("*.py")}


def main() -> int:
    before = snapshot()
    subprocess.run([Path(sys.executable).with_name("nbdev_export")], cwd=ROOT, check=True)
    after = snapshot()
    changed = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    if changed:
        print(f"nbdev_export changes latentfaces/: {', '.join(changed)}. Edit the notebook, run nbdev_export, commit both.")
        return 1
    print(f"{len(after)} modules agree with their notebooks")
    return 0


if __name__ == "__main__": sys.exit(main())
