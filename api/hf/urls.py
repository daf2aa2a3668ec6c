"""The Hugging Face protocol, at the root of the host: the client compares every address with its endpoint and fails on a prefix.

`<ns>/<name>` of one segment never names anything here; such addresses answer RepoNotFound like any unknown repository.
"""

from django.urls import path, register_converter

from api.hf import (
    routing,
    views_access,
    views_branches,
    views_cas,
    views_collections,
    views_commit,
    views_community,
    views_copies,
    views_discussions,
    views_identity,
    views_lfs,
    views_oauth,
    views_repos,
    views_resolve,
    views_tree,
    views_webhooks,
)
from api.hf.routing import any_method, hub, nobody, refused

register_converter(routing.Rest, "rest")
register_converter(routing.Segment, "seg")
register_converter(routing.HubType, "hubtype")
register_converter(routing.AccessWord, "access")
register_converter(routing.OtherApi, "other")

_REPO = "api/<hubtype:kind>/<seg:namespace>/<seg:name>"

identity = [
    path("api/whoami-v2", hub(GET=views_identity.whoami)),
    path("oauth/device", hub(read_actor=nobody, POST=views_oauth.device)),
    path("oauth/token", hub(read_actor=nobody, POST=views_oauth.token)),
    path("api/agent-harnesses", hub(GET=views_identity.agent_harnesses)),
    path("api/telemetry/<rest:rest>", hub(GET=views_identity.telemetry, POST=views_identity.telemetry)),
    path("v1/telemetry", hub(POST=views_identity.telemetry)),
    path("api/validate-yaml", hub(POST=views_commit.validate_yaml)),
    path("api/settings/repositories", hub(GET=views_repos.own_repositories)),
    path("api/organizations/<seg:namespace>/settings/repositories", hub(GET=views_repos.own_repositories)),
]

people = [
    path("api/users/<seg:name>/overview", hub(GET=views_community.user_overview)),
    path("api/users/<seg:name>/likes", hub(GET=views_community.likes_of_user)),
    path("api/users/<seg:name>/followers", hub(GET=views_community.nobody_of_user)),
    path("api/users/<seg:name>/following", hub(GET=views_community.nobody_of_user)),
    path("api/organizations/<seg:name>/overview", hub(GET=views_community.organization_overview)),
    path("api/organizations/<seg:name>/members", hub(GET=views_community.members)),
    path("api/organizations/<seg:name>/followers", hub(GET=views_community.nobody_of_organization)),
]

_COLLECTION = "api/collections/<seg:owner>/<seg:slug>"
_WEBHOOK = "api/settings/webhooks/<seg:webhook>"

own_things = [
    path("api/collections", hub(GET=views_collections.listing, POST=views_collections.create)),
    path(
        _COLLECTION,
        hub(GET=views_collections.details, PATCH=views_collections.update, DELETE=views_collections.delete),
    ),
    path(f"{_COLLECTION}/items", hub(POST=views_collections.add_item)),
    path(
        f"{_COLLECTION}/items/<seg:item>",
        hub(PATCH=views_collections.update_item, DELETE=views_collections.delete_item),
    ),
    path("api/settings/webhooks", hub(GET=views_webhooks.listing, POST=views_webhooks.create)),
    path(_WEBHOOK, hub(GET=views_webhooks.details, POST=views_webhooks.update, DELETE=views_webhooks.delete)),
    path(f"{_WEBHOOK}/enable", hub(POST=views_webhooks.enable)),
    path(f"{_WEBHOOK}/disable", hub(POST=views_webhooks.disable)),
]

repositories = [
    path("api/repos/create", hub(POST=views_repos.create)),
    path("api/repos/delete", hub(DELETE=views_repos.delete)),
    path("api/repos/move", hub(POST=views_repos.move)),
    path("api/<hubtype:kind>", hub(GET=views_repos.listing)),
    path("api/<hubtype:kind>-tags-by-type", hub(GET=views_copies.tags_by_type)),
    path("api/<hubtype:kind>/<seg:name>", hub(GET=views_repos.one_segment)),
    path(_REPO, hub(GET=views_repos.information)),
    path(f"{_REPO}/revision/<rest:rest>", hub(GET=views_repos.information)),
    path(f"{_REPO}/settings", hub(PUT=views_repos.settings)),
    path(f"{_REPO}/auth-check", hub(GET=views_repos.auth_check)),
    path(f"{_REPO}/auth-check/write", hub(GET=views_repos.auth_check_write)),
    path(f"{_REPO}/duplicate", hub(POST=views_copies.duplicate)),
    path(f"{_REPO}/lfs-files/duplicate", hub(POST=views_copies.duplicate_files)),
    path(f"{_REPO}/like", hub(POST=views_community.like, DELETE=views_community.unlike)),
    path(f"{_REPO}/likers", hub(GET=views_community.likers)),
    path(f"{_REPO}/user-access-request/handle", hub(POST=views_access.handle)),
    path(f"{_REPO}/user-access-request/grant", hub(POST=views_access.grant)),
    path(f"{_REPO}/user-access-request/<access:state>", hub(GET=views_access.listing)),
    path("<seg:namespace>/<seg:name>/ask-access", hub(POST=views_access.ask_access), {"kind": "model"}),
    path("datasets/<seg:namespace>/<seg:name>/ask-access", hub(POST=views_access.ask_access), {"kind": "dataset"}),
]

_DISCUSSION = f"{_REPO}/discussions/<seg:number>"

discussions = [
    path(f"{_REPO}/discussions", hub(GET=views_discussions.listing, POST=views_discussions.create)),
    path(_DISCUSSION, hub(GET=views_discussions.details)),
    path(f"{_DISCUSSION}/comment", hub(POST=views_discussions.comment)),
    path(f"{_DISCUSSION}/comment/<seg:event>/edit", hub(POST=views_discussions.edit)),
    path(f"{_DISCUSSION}/comment/<seg:event>/hide", hub(POST=views_discussions.hide)),
    path(f"{_DISCUSSION}/title", hub(POST=views_discussions.rename)),
    path(f"{_DISCUSSION}/status", hub(POST=views_discussions.status)),
    path(f"{_DISCUSSION}/merge", hub(POST=views_discussions.merge)),
]

contents = [
    path(f"{_REPO}/tree/<rest:rest>", hub(GET=views_tree.tree)),
    path(f"{_REPO}/paths-info/<rest:rest>", hub(POST=views_tree.paths_info)),
    path(f"{_REPO}/commits/<rest:rest>", hub(GET=views_tree.commits)),
    path(f"{_REPO}/refs", hub(GET=views_branches.refs)),
    path(f"{_REPO}/branch/<rest:rest>", hub(POST=views_branches.create_branch, DELETE=views_branches.delete_branch)),
    path(f"{_REPO}/tag/<rest:rest>", hub(POST=views_branches.create_tag, DELETE=views_branches.delete_tag)),
    path(f"{_REPO}/super-squash/<rest:rest>", hub(POST=views_branches.super_squash)),
    path(f"{_REPO}/preupload/<rest:rest>", hub(POST=views_commit.preupload)),
    path(f"{_REPO}/commit/<rest:rest>", hub(POST=views_commit.commit)),
    path(f"{_REPO}/xet-write-token/<rest:rest>", hub(GET=views_cas.write_token)),
]

large_files = [
    path("api/lfs/object/<seg:signed>", hub(PUT=views_lfs.put_object)),
    path("api/lfs/part/<seg:signed>/<int:number>", hub(PUT=views_lfs.put_part)),
    path("api/lfs/completion/<seg:signed>", hub(POST=views_lfs.complete)),
    path("cas/<seg:session>/v1/xorbs/<seg:prefix>/<seg:xorb>", views_cas.cas(views_cas.receive_xorb)),
    path("cas/<seg:session>/v1/shards", views_cas.cas(views_cas.receive_shard)),
    path("cas/<seg:session>/v2/shards", views_cas.cas(views_cas.stream_shard)),
    # whatever else a client asks here must be 404: 403, 405 and 501 end an upload
    path("cas/<rest:rest>", views_cas.missing),
]

downloads = [
    path(
        "datasets/<seg:namespace>/<seg:name>/resolve/<rest:rest>", hub(GET=views_resolve.resolve), {"kind": "dataset"}
    ),
    path("<seg:namespace>/<seg:name>/resolve/<rest:rest>", hub(GET=views_resolve.resolve), {"kind": "model"}),
    path("<seg:name>/resolve/<rest:rest>", hub(GET=views_repos.one_segment)),
]

not_offered = [
    path(address, refused(what))
    for address, what in {
        "api/spaces": "Spaces",
        "api/spaces/<rest:rest>": "Spaces",
        "api/kernels": "kernels",
        "api/kernels/<rest:rest>": "kernels",
        "api/buckets": "buckets",
        "api/buckets/<rest:rest>": "buckets",
        "api/jobs/<rest:rest>": "jobs in this protocol: jobs are under /api/v1/jobs",
        "api/scheduled-jobs/<rest:rest>": "scheduled jobs",
        "api/papers": "papers",
        "api/papers/<rest:rest>": "papers",
        "api/daily_papers": "papers",
        "api/collections/<rest:rest>": "such route below a collection",
        "api/settings/<rest:rest>": "such settings in this protocol",
        "uploads": "place for attachments: commit the file to a repository and link to it",
    }.items()
]
not_offered += [
    path("api/<hubtype:kind>/<rest:rest>", any_method(views_repos.not_offered)),
    path("api/<other:rest>", refused("such route")),
]

urlpatterns = [
    *identity,
    *people,
    *own_things,
    *repositories,
    *discussions,
    *contents,
    *large_files,
    *downloads,
    *not_offered,
]
