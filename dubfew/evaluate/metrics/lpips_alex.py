"""LPIPS of the face crop in the features of AlexNet."""

from __future__ import annotations

from dubfew.evaluate.metrics._lpips import make_lpips_metric

METRIC = make_lpips_metric("alex", "alexnet-owt-7be5be79.pth")
