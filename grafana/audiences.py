"""Who sees a set of dashboards: the state office, a district, or the AICC."""

from typing import Literal

AudienceName = Literal["state", "district", "aicc"]
