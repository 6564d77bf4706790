"""Strict query parameters: a request with one that its path does not have is refused.

A misspelt filter that is ignored answers with all figures, which nobody notices.
"""

from difflib import get_close_matches

from fastapi import Request

from api.descriptions import describe_parameters, is_repeatable
from api.problems import parameter_problem


async def refuse_unknown_parameters(request: Request) -> None:
    """Check the names of a request's query parameters.

    Raises:
        Problem: 400, the path does not have a parameter, or has it once.
    """
    known = describe_parameters(request.app, request.scope["route"].path)
    errors: dict[str, str] = {}
    for name in dict.fromkeys(request.query_params):
        if name not in known:
            alike = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
            hint = f"; did you mean {alike[0]}?" if alike else ""
            errors[name] = f"there is no such parameter{hint}"
        elif not is_repeatable(known[name]) and len(request.query_params.getlist(name)) > 1:
            errors[name] = "may be given once only"
    if errors:
        takes = ", ".join(sorted(known)) or "no parameters"
        last = list(errors)[-1]
        errors[last] += f". This path takes {takes}"
        raise parameter_problem(errors, parameters=sorted(known))
