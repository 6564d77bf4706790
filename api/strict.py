"""Strict query parameters: a request with one that its path does not have is refused.

A misspelt filter that is ignored answers with all figures, which nobody notices.
"""

from difflib import get_close_matches
from functools import lru_cache

from fastapi import FastAPI, Request

from api.problems import parameter_problem


async def refuse_unknown_parameters(request: Request) -> None:
    """Check the names of a request's query parameters.

    Raises:
        Problem: 400, the path does not have a parameter, or has it once.
    """
    known = _parameters(request.app, request.scope["route"].path)
    errors: dict[str, str] = {}
    for name in dict.fromkeys(request.query_params):
        if name not in known:
            alike = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
            hint = f"; did you mean {alike[0]}?" if alike else ""
            errors[name] = f"there is no such parameter{hint}"
        elif not known[name] and len(request.query_params.getlist(name)) > 1:
            errors[name] = "may be given once only"
    if errors:
        takes = ", ".join(sorted(known)) or "no parameters"
        last = list(errors)[-1]
        errors[last] += f". This path takes {takes}"
        raise parameter_problem(errors, parameters=sorted(known))


@lru_cache(maxsize=1_000)
def _parameters(app: FastAPI, path: str) -> dict[str, bool]:
    """Query parameters of a path, as its description has them: name → whether it is repeatable."""
    described = app.openapi()["paths"].get(path, {}).get("get", {}).get("parameters", [])
    return {
        one["name"]: one["schema"].get("type") == "array"
        for one in described
        if one["in"] == "query"
    }
