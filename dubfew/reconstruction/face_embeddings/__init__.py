"""Face embeddings: networks that put images of one person near each other. One module each.

To add an embedding, put a module here that defines ``FACE_EMBEDDING``, a class that follows the
`FaceEmbedding` protocol. The file's name is the name that options use.
"""

from __future__ import annotations

from dubfew.errors import DubfewError
from dubfew.reconstruction.face_embeddings._base import FaceEmbedding
from dubfew.utils.extension_table import ExtensionTable

__all__ = ["DEFAULT_EMBEDDING", "FACE_EMBEDDINGS", "FaceEmbedding", "load_face_embedding"]

# dlib's network is the one by which dubbing papers measure the distance of identities.
DEFAULT_EMBEDDING = "dlib"
# Embedding classes by name. Names are known without importing torch or dlib.
FACE_EMBEDDINGS: ExtensionTable[type[FaceEmbedding]] = ExtensionTable(
    "face embedding", "dubfew.reconstruction.face_embeddings", "FACE_EMBEDDING", DubfewError
)


def load_face_embedding(name: str = DEFAULT_EMBEDDING) -> FaceEmbedding:
    """Make a face embedding, ready for use.

    Raises:
        DubfewError: ``FACE_EMBEDDINGS`` has no entry of that name.
        MissingDependencyError: The package that it needs is not installed; the message says how
            to install it.
        AssetError: A licensed file that it needs is not registered.
    """
    return FACE_EMBEDDINGS.load(name)()
