"""Every capability's tables, so that migrations see them all. Tables are private to their capability."""

from sqlmodel import SQLModel

import clinic_net.access.administration.model
import clinic_net.access.model
import clinic_net.access.oauth.model
import clinic_net.access.proof.model
import clinic_net.audit.model
import clinic_net.consultations.model
import clinic_net.directory.model
import clinic_net.fleet.model
import clinic_net.kernel.data_keys
import clinic_net.privacy.model
import clinic_net.records.async_model
import clinic_net.records.model
import clinic_net.records.reindex_model
import clinic_net.referrals.model
import clinic_net.signalling.model
import clinic_net.sync.feed_model
import clinic_net.sync.files_model
import clinic_net.sync.model  # noqa: F401 -- imported for what they declare

metadata = SQLModel.metadata
