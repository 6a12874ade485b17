"""``/sync/v1``: what stations call."""

from fastapi import APIRouter

from clinic_net.sync import pull_routes, push_routes, snapshot_routes

router = APIRouter(prefix="/sync/v1")
router.include_router(push_routes.router)
router.include_router(pull_routes.router)
router.include_router(snapshot_routes.router)
