from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra 'whitebox' is not installed")
pytest.importorskip("transformers", reason="the extra 'whitebox' is not installed")
