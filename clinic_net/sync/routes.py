"""``/sync/v1``: what stations call."""

from fastapi import APIRouter

from clinic_net.sync import files_routes, pull_routes, push_routes, sms_routes

router = APIRouter(prefix="/sync/v1")
router.include_router(push_routes.router)
router.include_router(pull_routes.router)
router.include_router(files_routes.router)
router.include_router(sms_routes.router)
