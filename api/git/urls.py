"""Git over HTTP, where the Hugging Face hub has it: at the address of the repository's page, with or without `.git`."""

from django.urls import path, register_converter

from api.git import routing, views
from api.git.routing import of_git, of_lfs
from api.hf import views_lfs
from api.hf.routing import hub

register_converter(routing.Place, "place")

_LOCKS = of_lfs(GET=views_lfs.locks, POST=views_lfs.locks)

urlpatterns = [
    path("<place:place>/info/refs", of_git(GET=views.info_refs)),
    path("<place:place>/git-upload-pack", of_git(POST=views.upload_pack)),
    path("<place:place>/git-receive-pack", of_git(POST=views.receive_pack)),
    path("<place:place>/info/lfs/objects/batch", of_lfs(POST=views_lfs.batch)),
    path("<place:place>/info/lfs/verify", of_lfs(POST=views_lfs.verify)),
    path("<place:place>/info/lfs/locks", _LOCKS),
    path("<place:place>/info/lfs/locks/<path:rest>", _LOCKS),
    path("api/lfs/download/<str:signed>", hub(GET=views_lfs.get_object)),
]
