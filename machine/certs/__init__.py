"""Certificates: one CA a store, a client certificate, one server certificate a machine; mutual TLS checks."""
