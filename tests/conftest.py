"""Settings for all tests."""

from __future__ import annotations

import pytest

# The contract's asserts are shipped, and explained by pytest all the same.
pytest.register_assert_rewrite("app.flask_simulcast.testing")
