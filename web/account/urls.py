from django.urls import path

from web.account import devices, keys, notice_views, views, webhook_views

_ORGANIZATION = "organizations/<str:name>"

urlpatterns = [
    path("account", views.account, name="account"),
    path("account/tokens", views.access_tokens, name="tokens"),
    path("account/tokens/<uuid:uuid>/revocation", views.token_revocation, name="token-revocation"),
    path("account/keys", keys.keys, name="keys"),
    path("account/keys/rotation", keys.rotation, name="key-rotation"),
    path("account/keys/<str:key_id>/revocation", keys.revocation, name="key-revocation"),
    path("account/devices", devices.device, name="devices"),
    path("notices", notice_views.notice_list, name="notices"),
    path("notices/reading", notice_views.reading, name="notices-reading"),
    path("notices/<uuid:uuid>/reading", notice_views.reading, name="notice-reading"),
    path("notices/preferences", notice_views.preference_list, name="notice-preferences"),
    path("notices/unsubscribe/<str:token>", notice_views.unsubscribe, name="unsubscribe"),
    path("webhooks", webhook_views.webhook_list, name="webhooks"),
    path("webhooks/<uuid:uuid>", webhook_views.webhook, name="webhook"),
    path("webhooks/<uuid:uuid>/switch", webhook_views.switch, name="webhook-switch"),
    path("webhooks/<uuid:uuid>/removal", webhook_views.removal, name="webhook-removal"),
    path(
        "webhooks/<uuid:uuid>/deliveries/<uuid:delivery>/redelivery",
        webhook_views.redelivery,
        name="webhook-redelivery",
    ),
    path("organizations", views.organizations, name="organizations"),
    path("organizations/new", views.new_organization, name="new-organization"),
    path(_ORGANIZATION, views.member_list, name="organization"),
    path(f"{_ORGANIZATION}/members/<str:username>/role", views.member_role, name="member-role"),
    path(f"{_ORGANIZATION}/members/<str:username>/removal", views.member_removal, name="member-removal"),
    path(
        f"{_ORGANIZATION}/invitations/<uuid:uuid>/withdrawal", views.invitation_withdrawal, name="invitation-withdrawal"
    ),
    path(f"{_ORGANIZATION}/teams", views.team_list, name="teams"),
    path(f"{_ORGANIZATION}/teams/<str:team_name>/members", views.team_member, name="team-members"),
    path(
        f"{_ORGANIZATION}/teams/<str:team_name>/members/<str:username>/removal",
        views.team_member_removal,
        name="team-member-removal",
    ),
    path(f"{_ORGANIZATION}/teams/<str:team_name>/deletion", views.team_deletion, name="team-deletion"),
    path(f"{_ORGANIZATION}/keys", keys.keys, name="organization-keys"),
    path(f"{_ORGANIZATION}/keys/rotation", keys.rotation, name="organization-key-rotation"),
    path(f"{_ORGANIZATION}/keys/<str:key_id>/revocation", keys.revocation, name="organization-key-revocation"),
    path(f"{_ORGANIZATION}/settings", views.organization_settings, name="organization-settings"),
    path("invitations/<str:secret>", views.invitation, name="invitation"),
]
