"""``/sync/v1``: what stations call; and what operators ask of the synchronisation."""

from fastapi import APIRouter

from clinic_net.sync import (
    files_routes,
    move_routes,
    pull_routes,
    push_routes,
    sms_routes,
    snapshot_routes,
    standing_routes,
)

router = APIRouter()
for each in (push_routes, pull_routes, snapshot_routes, files_routes, sms_routes):
    router.include_router(each.router, prefix="/sync/v1")
router.include_router(move_routes.router)
router.include_router(standing_routes.router)
