"""The Kafka settings as keyword arguments for kafka-python and aiokafka."""

import ssl
from typing import Any

from pravah.settings import KafkaSettings


def client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return keyword arguments for any kafka-python client: servers, SASL and TLS."""
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers.split(","),
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.username
        options["sasl_plain_password"] = (
            kafka.password.get_secret_value() if kafka.password else None
        )
    if kafka.security_protocol.endswith("SSL"):
        files = {
            "ssl_cafile": kafka.ca_file,
            "ssl_certfile": kafka.cert_file,
            "ssl_keyfile": kafka.key_file,
        }
        options.update({name: str(path) for name, path in files.items() if path})
    return options


def async_client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return keyword arguments for any aiokafka client.

    They are those of kafka-python, except that TLS files become an `ssl.SSLContext`.
    """
    options = client_options(kafka)
    files = {name: options.pop(f"ssl_{name}", None) for name in ("cafile", "certfile", "keyfile")}
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=files["cafile"])
        if files["certfile"]:
            options["ssl_context"].load_cert_chain(files["certfile"], files["keyfile"])
    return options
