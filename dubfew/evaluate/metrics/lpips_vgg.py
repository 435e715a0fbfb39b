"""LPIPS of the face crop in the features of VGG-16."""

from __future__ import annotations

from dubfew.evaluate.metrics._lpips import make_lpips_metric

METRIC = make_lpips_metric("vgg", "vgg16-397923af.pth")
