from compute.models.endpoints import Endpoint, EndpointGroupGrant, EndpointUserGrant
from compute.models.jobs import Artifact, Attempt, Job, JobEvent

__all__ = ["Artifact", "Attempt", "Endpoint", "EndpointGroupGrant", "EndpointUserGrant", "Job", "JobEvent"]
