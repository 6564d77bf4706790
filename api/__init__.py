"""The AICC's room: what headquarters pulls over HTTP. Nothing is in it yet; the README says what is planned."""
