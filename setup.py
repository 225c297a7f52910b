"""Which packages a wheel holds: the code, and inside it the folders that lie beside it in the repository."""

from setuptools import find_packages, setup

SHIPPED = ("assets", "data")

setup(
    packages=[*find_packages(include=["geoexplain", "geoexplain.*"]), *(f"geoexplain.{name}" for name in SHIPPED)],
    package_dir={f"geoexplain.{name}": name for name in SHIPPED},
)
