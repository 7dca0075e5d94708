"""Pipelines: from text to an answer in one call. One file per task over one engine."""

from .construct import pipeline
from .fill_mask import PipelineException
from .inputs import KeyDataset, KeyPairDataset
from .object import Pipeline

__all__ = ["KeyDataset", "KeyPairDataset", "Pipeline", "PipelineException", "pipeline"]
