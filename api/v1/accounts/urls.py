"""Addresses of people and organisations."""

from django.urls import path

from api.v1.accounts import notices, views

urlpatterns = [
    path("me", views.Me.as_view()),
    path("tokens", views.Tokens.as_view()),
    path("tokens/<uuid:uuid>", views.Token.as_view()),
    path("notices", notices.Notices.as_view()),
    path("notices/<uuid:uuid>/reading", notices.NoticeReading.as_view()),
    path("notice-preferences", notices.NoticePreferences.as_view()),
    path("organizations", views.Organizations.as_view()),
    path("organizations/<str:name>", views.OrganizationOne.as_view()),
    path("organizations/<str:name>/members", views.Members.as_view()),
    path("organizations/<str:name>/members/<str:user>", views.Member.as_view()),
    path("organizations/<str:name>/invitations", views.Invitations.as_view()),
    path("organizations/<str:name>/invitations/<uuid:uuid>", views.Invitation.as_view()),
    path("organizations/<str:name>/teams", views.Teams.as_view()),
    path("organizations/<str:name>/teams/<str:team>", views.Team.as_view()),
    path("organizations/<str:name>/teams/<str:team>/people/<str:user>", views.TeamPerson.as_view()),
    path("invitation-acceptances", views.InvitationAcceptance.as_view()),
    path("namespaces/<str:name>/audit", views.Audit.as_view()),
]
