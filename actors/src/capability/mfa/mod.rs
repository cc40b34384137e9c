//! The second factor: what a right first factor leads to.

mod answer;
mod codes;
mod enrolment;

pub use answer::Factor;
pub use enrolment::{Enrolment, SecondFactors};

use janua_storage::capability::mfa::{Entry, SecondFactor};
use janua_storage::capability::users::Profile;
use janua_storage::command::Reply;
use janua_storage::moment::Moment;
use janua_storage::secret::{Purpose, Secret};

use crate::capability::sessions::{NewSession, SignedIn, text, unexpected};
use crate::context::{Context, DeviceInfo};
use crate::refusal::Refusal;
use crate::tenant::{Answer, TenantRef};

/// How long a temporary token lasts, milliseconds.
const TEMP_TOKEN_TTL_MS: u64 = 5 * 60 * 1000;

/// What a right first factor has led to.
#[derive(Debug, Clone)]
pub enum Entered {
    /// A session.
    SignedIn(SignedIn),
    /// The demand for a second factor.
    Challenged(Challenged),
}

/// The demand for a second factor.
#[derive(Debug, Clone)]
pub struct Challenged {
    /// Who showed the first one.
    pub profile: Profile,
    /// Stands for the first one.
    pub temp_token: Secret,
    /// What may follow.
    pub methods: Vec<SecondFactor>,
    /// Until when.
    pub expires: Moment,
}

/// What `apply` needs to let somebody in, and the secrets that only their client gets.
pub(crate) struct NewEntry {
    pub entry: Entry,
    pub secrets: EntrySecrets,
}

/// The refresh token of a session and the temporary token, one of which the client gets.
pub(crate) struct EntrySecrets {
    refresh_token: Secret,
    temp_token: Secret,
}

impl EntrySecrets {
    /// Both, as an idempotency record keeps them: no secret holds a space.
    pub fn recorded(&self) -> zeroize::Zeroizing<String> {
        format!("{} {}", self.refresh_token.expose(), self.temp_token.expose()).into()
    }

    fn open(recorded: Vec<u8>) -> Result<Self, Refusal> {
        let both = text(recorded)?;
        let (refresh, temp) = both
            .expose()
            .split_once(' ')
            .ok_or_else(|| Refusal::unavailable("the secrets of a recorded entry are not two"))?;
        Ok(Self { refresh_token: Secret::given(refresh), temp_token: Secret::given(temp) })
    }
}

impl TenantRef {
    /// What every first factor brings along, for whichever of the two follows.
    pub(crate) async fn new_entry(
        &self,
        context: &Context,
        device: &DeviceInfo,
    ) -> Result<NewEntry, Refusal> {
        let NewSession { start, refresh_token } = self.new_session(context, device).await?;
        let random = self.0.node.clock.random();
        let temp_token = Secret::new(Purpose::TempToken, self.number(), &random);
        let entry = Entry { start, temp_token: temp_token.hash(), temp_ttl_ms: TEMP_TOKEN_TTL_MS };
        Ok(NewEntry { entry, secrets: EntrySecrets { refresh_token, temp_token } })
    }

    /// The answer to a first factor: `secrets` are those that were proposed, unless others were
    /// recorded.
    pub(crate) async fn entered(
        &self,
        answer: Answer,
        secrets: Option<EntrySecrets>,
    ) -> Result<Entered, Refusal> {
        let secrets = match answer.secrets {
            Some(recorded) => EntrySecrets::open(recorded)?,
            None => secrets.ok_or_else(|| unexpected(&Reply::Done))?,
        };
        match answer.reply {
            Reply::Challenged(challenged) => Ok(Entered::Challenged(Challenged {
                profile: challenged.profile,
                temp_token: secrets.temp_token,
                methods: challenged.methods,
                expires: challenged.expires,
            })),
            reply => {
                let answer = Answer { reply, secrets: None };
                let signed_in = self.signed_in(answer, Some(secrets.refresh_token)).await?;
                Ok(Entered::SignedIn(signed_in))
            }
        }
    }
}
