"""The contract's asserts are shipped, and explained by pytest all the same."""

import pytest

pytest.register_assert_rewrite("app.flask_simulcast.testing")
