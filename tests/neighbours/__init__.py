"""Packages that an app often has beside the extension, each tried with it. `scripts/neighbours` runs this, not each test run."""
