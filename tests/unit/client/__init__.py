"""Tests of `flask_simulcast.client`."""
