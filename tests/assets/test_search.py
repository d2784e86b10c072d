"""Which step of the search wins, and what it leaves in the cache."""

import os
from pathlib import Path

import pytest
from conftest import Go, Site  # placeholder

from kubewitness.assets import AssetError, Origin, UnknownVersion, resolve
