"""``/sync/v1``: what stations call; and what operators ask of the synchronisation."""

from fastapi import APIRouter

from clinic_net.sync.erasures import routes as standing_routes
from clinic_net.sync.feeds import routes as pull_routes
from clinic_net.sync.files import routes as files_routes
from clinic_net.sync.inbox import routes as push_routes
from clinic_net.sync.moves import routes as move_routes
from clinic_net.sync.sms import routes as sms_routes
from clinic_net.sync.snapshots import routes as snapshot_routes

router = APIRouter()
for each in (push_routes, pull_routes, snapshot_routes, files_routes, sms_routes):
    router.include_router(each.router, prefix="/sync/v1")
router.include_router(move_routes.router)
router.include_router(standing_routes.router)
