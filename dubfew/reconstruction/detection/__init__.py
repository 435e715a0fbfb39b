"""Detection: faces, landmarks, shots, identities and segmentation of a clip's frames."""
