"""All that an installer must know."""

import os
import pathlib
import re

from setuptools import find_packages, setup

root = pathlib.Path(__file__).parent
version = re.search(r'__version__ = "(.+)"', (root / "tfseg" / "__init__.py").read_text())[1]
# Where the project lives. README's links begin with it, and a test holds them to it; nothing else tells it. A workflow
# builds with the address that it runs at, and the links of what it builds lead to the version's own files.
HOME = "https://github.com/tfseg/tfseg"
repository = os.environ.get("TFSEG_REPOSITORY", "").rstrip("/") or HOME
readme = (root / "README.md").read_text(encoding="utf-8")
for kind in ("blob", "raw"):
    readme = readme.replace(f"({HOME}/{kind}/main/", f"({repository}/{kind}/v{version}/")

extras = {
    "coco": ["pycocotools>=2.0.11"],
    "geotiff": ["rasterio>=1.4"],
    "hub": ["huggingface_hub>=1.0"],
    "heif": ["pillow-heif>=1.0"],
    "jax": ["jax>=0.10"],
    "litert": ["ai-edge-litert>=2.3"],
    "onnx": ["onnx>=1.23", "onnxruntime>=1.31", "tf2onnx>=1.17"],
    "openvino": ["openvino>=2026.4"],
    "ray": ["ray[data]>=2.60"],
    "safetensors": ["safetensors>=0.8"],
    "serve": ["aiohttp>=3.14", "orjson>=3.10", "prometheus-client>=0.20"],
    "sbd": ["scipy>=1.11"],
    "plots": ["matplotlib>=3.8"],
    "torch": ["torch>=2.6"],
    "verify": ["torch>=2.6", "torchvision>=0.21"],
}
extras["all"] = sorted({requirement for requirements in extras.values() for requirement in requirements})
extras["docs"] = ["mkdocs>=1.6", "mkdocs-material>=9.6", "mkdocstrings-python>=1.16"]
extras["dev"] = [
    *extras["all"],
    *extras["docs"],
    "hypothesis>=6.100",
    "mypy>=2.4",
    "opencv-python-headless>=4.10",
    "pre-commit>=4",
    "pytest>=9",
    "pytest-cov>=7",
    "pytest-xdist>=3.8",
    "PyYAML>=6",
    "ruff>=0.17",
    "timm>=1.0",
    "torchmetrics>=1.4",
    "transformers>=5",
]

setup(
    name="tfseg",
    version=version,
    description="Keras segmentation networks that compute what public PyTorch and Caffe checkpoints compute",
    long_description=readme,
    long_description_content_type="text/markdown",
    author="The maintainers of tfseg",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    keywords=[
        *("semantic segmentation", "keras", "tensorflow", "pytorch", "caffe", "onnx", "checkpoint"),
        *("weight conversion", "dilated convolution", "model conversion"),
        *("fcn", "deeplab", "pspnet", "unet", "resnet", "vgg"),
    ],
    project_urls={
        "Source": repository,
        "Documentation": f"{repository}/tree/v{version}/docs",
        "Changelog": f"{repository}/blob/v{version}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    },
    packages=find_packages(include=["tfseg", "tfseg.*", "converters", "converters.*", "tfseg_cli"]),
    package_data={
        "tfseg": ["py.typed", "serving/page.css", "serving/page.html", "serving/page.js"],
        "converters": ["py.typed", "reports/report.css"],
    },
    python_requires=">=3.11",
    install_requires=[
        "tensorflow>=2.16.1",
        "keras>=3.15",
        "numpy>=1.26.4",
        "ml-dtypes>=0.3.1",
        "google-crc32c>=1.7",
        "h5py>=3.11",
        "absl-py>=2.1",
        "Pillow>=11.3",  # the first with AVIF
        "rich>=13",
    ],
    extras_require=extras,
    entry_points={
        "console_scripts": [
            "tfseg = tfseg_cli.main:main",
            "tfseg-convert = tfseg_cli.convert:main",
            "tfseg-inspect = tfseg_cli.inspect:main",
            "tfseg-predict = tfseg_cli.predict:main",
            "tfseg-inspect-data = tfseg_cli.inspect_data:main",
            "tfseg-train = tfseg_cli.train:main",
            "tfseg-evaluate = tfseg_cli.evaluate:main",
            "tfseg-export = tfseg_cli.export:main",
            "tfseg-serve = tfseg_cli.serve:main",
        ]
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Topic :: Software Development :: Libraries :: Python Modules",
        "Typing :: Typed",
    ],
)
