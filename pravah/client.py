"""The AICC's HTTP client."""


class Client:
    """Placeholder until the client is moved here in the next commit."""
