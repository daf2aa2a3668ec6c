from django.urls import path

from web.market import money_views, sell_views, views

urlpatterns = [
    path("", views.home, name="home"),
    path("listings/<str:namespace>/<str:slug>", views.listing, name="listing"),
    path("listings/<str:namespace>/<str:slug>/checkout", views.checkout, name="checkout"),
    path("orders", money_views.orders, name="orders"),
    path("orders/all.csv", money_views.orders_csv, name="orders-csv"),
    path("orders/<uuid:uuid>", money_views.order, name="order"),
    path("orders/<uuid:uuid>/payment", money_views.payment, name="payment"),
    path("orders/<uuid:uuid>/refund", money_views.refund, name="refund"),
    path("library", money_views.library, name="library"),
    path("library/access.csv", money_views.library_csv, name="library-csv"),
    path("subjects/<str:kind>/<uuid:uuid>", money_views.subject, name="subject"),
    path("wallet", money_views.wallet, name="wallet"),
    path("wallet/statement.csv", money_views.wallet_csv, name="wallet-csv"),
    path("earnings", money_views.earnings, name="earnings"),
    path("earnings/account", money_views.seller_account, name="seller-account"),
    path("earnings/statement.csv", money_views.earnings_csv, name="earnings-csv"),
    path("earnings/listings.csv", money_views.earned_csv, name="earned-csv"),
    path("earnings/sales.csv", money_views.sales_csv, name="sales-csv"),
    path("-/credits", money_views.credit, name="credits"),
    path("sell", sell_views.sell, name="sell"),
    path("sell/new", sell_views.new_listing, name="new-listing"),
    path("sell/<uuid:uuid>", sell_views.editor, name="listing-editor"),
    path("sell/<uuid:uuid>/plans", sell_views.plan_addition, name="plan-addition"),
    path("sell/<uuid:uuid>/plans/<uuid:plan_uuid>/retirement", sell_views.plan_retirement, name="plan-retirement"),
    path("sell/<uuid:uuid>/publication", sell_views.publication, name="publication"),
    path("sell/<uuid:uuid>/withdrawal", sell_views.withdrawal, name="withdrawal"),
]
