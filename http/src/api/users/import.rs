//! Importing users: a body of lines, a JSON object each, read as they come.

use garde::Validate;
use janua_actors::capability::users::{BATCH, Begun, ForeignHash, Immigrant, Importing};
use janua_actors::context::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::call::Call;
use crate::error::{Code, Error};
use crate::lines::{Line, Lines};
use crate::output::Data;
use crate::{input, json, rules, shapes};

/// How many errors the answer tells of; the others are counted.
const MOST_ERRORS: usize = 1000;

/// `POST /users/import`
pub async fn import(call: Call, mut lines: Lines<ImportLine>) -> Result<Data<Imported>, Error> {
    let context = call.context();
    match call.tenant()?.begin_import(&context, call.authority()?).await? {
        Begun::First(importing) => take_in(&context, importing, lines).await.map(Data),
        Begun::Repeated(kept) => {
            let kept: Kept = serde_json::from_slice(&kept).map_err(|_| Error::internal())?;
            let mut seen = Sha256::new();
            while let Some(line) = lines.next().await? {
                see(&mut seen, &line);
            }
            if kept.body == digest(seen) { Ok(Data(kept.answer)) } else { Err(conflict()) }
        }
    }
}

async fn take_in(
    context: &Context,
    importing: Importing,
    mut lines: Lines<ImportLine>,
) -> Result<Imported, Error> {
    let (mut answer, mut batch) = (Imported::default(), Vec::with_capacity(BATCH));
    let mut seen = Sha256::new();
    while let Some(line) = lines.next().await? {
        see(&mut seen, &line);
        match read(&line) {
            Ok(Some(user)) => batch.push(user),
            Ok(None) => {}
            Err(error) => answer.fail(line.number(), &error),
        }
        if batch.len() >= BATCH {
            settle(context, &importing, std::mem::take(&mut batch), &mut answer).await?;
        }
    }
    settle(context, &importing, batch, &mut answer).await?;
    answer.errors.sort_by_key(|error| error.line);
    let kept = Kept { body: digest(seen), answer };
    let text = serde_json::to_string(&kept).map_err(|_| Error::internal())?;
    importing.end(context, &text).await?;
    Ok(kept.answer)
}

async fn settle(
    context: &Context,
    importing: &Importing,
    batch: Vec<Immigrant>,
    answer: &mut Imported,
) -> Result<(), Error> {
    let numbers: Vec<u64> = batch.iter().map(|user| user.line).collect();
    let settled = importing.take_in(context, batch).await?;
    for (line, taken_in) in numbers.into_iter().zip(settled) {
        if taken_in {
            answer.imported += 1;
        } else {
            let message = "An account with this address exists already";
            answer.fail(line, &Error::new(Code::EmailAlreadyExists, message));
        }
    }
    Ok(())
}

/// The user on a line; `None` on an empty one.
fn read(line: &Line) -> Result<Option<Immigrant>, Error> {
    if line.is_blank() {
        return Ok(None);
    }
    let body: ImportLine = json::decode(line.content()?)?;
    input::validate(&body)?;
    Ok(Some(Immigrant {
        line: line.number(),
        email: rules::address("email", &body.email)?,
        email_verified: body.email_verified,
        first_name: body.first_name,
        last_name: body.last_name,
        phone_number: body.phone_number.and_then(|number| number.parse().ok()),
        phone_verified: body.phone_verified,
        avatar: body.avatar,
        metadata: Value::Object(body.metadata.unwrap_or_default()).to_string(),
        password: body.password_hash.and_then(|hash| hash.parse().ok()),
    }))
}

fn see(seen: &mut Sha256, line: &Line) {
    seen.update(line.bytes());
    seen.update(b"\n");
}

fn digest(seen: Sha256) -> String {
    seen.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn conflict() -> Error {
    let message = "The Idempotency-Key came with another request before; use a new one";
    Error::new(Code::IdempotencyConflict, message)
}

/// A user to be imported.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportLine {
    #[serde(default)]
    #[garde(custom(rules::email))]
    #[schema(required = true, format = Email, max_length = 254, example = "user@example.com")]
    email: String,
    #[serde(default)]
    #[garde(skip)]
    email_verified: bool,
    #[garde(custom(rules::when_present(rules::name)))]
    #[schema(max_length = 100)]
    first_name: Option<String>,
    #[garde(custom(rules::when_present(rules::name)))]
    #[schema(max_length = 100)]
    last_name: Option<String>,
    #[garde(custom(rules::when_present(rules::phone_number)))]
    #[schema(schema_with = shapes::phone_number)]
    phone_number: Option<String>,
    #[serde(default)]
    #[garde(skip)]
    phone_verified: bool,
    #[garde(custom(rules::when_present(rules::https_url)))]
    #[schema(schema_with = shapes::picture)]
    avatar: Option<String>,
    /// bcrypt, scrypt, PBKDF2 or Argon2, in PHC or modular crypt form, or as Django, passlib and
    /// Werkzeug write them. The first login with the password brings it to Argon2id.
    #[garde(custom(rules::when_present(foreign_hash)))]
    #[schema(max_length = 1024, example = "$2b$12$…")]
    password_hash: Option<String>,
    /// At most 16 KiB as JSON.
    #[garde(custom(rules::when_present(rules::metadata)))]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

fn foreign_hash(text: &str, _: &()) -> garde::Result {
    if text.len() > 1024 {
        return Err(garde::Error::new("must have at most 1024 characters"));
    }
    text.parse::<ForeignHash>().map(drop).map_err(garde::Error::new)
}

/// What came of an import. One whose API key is revoked or expires meanwhile ends with 401, and those whom
/// it has taken in by then stay.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    imported: u64,
    failed: u64,
    /// Why; of the first 1,000.
    errors: Vec<ImportError>,
}

/// A line that was not taken in.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct ImportError {
    /// The first line is 1.
    line: u64,
    #[schema(example = "email_already_exists")]
    code: String,
    message: String,
}

impl Imported {
    fn fail(&mut self, line: u64, error: &Error) {
        self.failed += 1;
        if self.errors.len() < MOST_ERRORS {
            let (code, message) = (error.code().as_str().into(), error.in_one_line());
            self.errors.push(ImportError { line, code, message });
        }
    }
}

/// What the record of an idempotency key holds of an import.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// SHA-256 of its lines.
    body: String,
    answer: Imported,
}
