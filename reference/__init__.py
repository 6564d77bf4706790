"""Real units and the default plan and metric dictionary, as data files."""

from pathlib import Path

_HERE = Path(__file__).parent


def registry_files() -> list[Path]:
    """The files of the default registry: India's states, Chhattisgarh's units, its booths."""
    return sorted((_HERE / "registry").glob("*.csv"))


def metrics_file() -> Path:
    """The metric dictionary."""
    return _HERE / "metrics.toml"


def plan_file(name: str = "2022") -> Path:
    """A programme plan."""
    return _HERE / f"plan-{name}.toml"
