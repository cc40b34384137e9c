//! Requests and answers as they travel between nodes. Written by hand, because every request through
//! a node that does not lead pays for it twice, and header values are read without copying.

use std::net::IpAddr;

use bytes::{Buf, BufMut, Bytes};
use http::uri::Uri;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, response};
use janua_actors::context::Operation;
use janua_actors::gateway::Replied;
use janua_actors::refusal::{Elsewhere, Vouched};
use janua_actors::tokens::VerifiedToken;
use janua_storage::ids::{SessionId, ShardId, TenantNumber, UserId};
use janua_storage::moment::Moment;

use super::worker;
use crate::app::Door;
use crate::asked::Asked;
use crate::body::Fault;
use crate::limits::Shown;
use crate::output::Response;
use crate::pipeline::Trail;

/// The version of what is written here. A node that reads another does not answer.
const VERSION: u8 = 1;

/// Headers that concern the connection with the client, or that are sent in a form of their own.
const LEFT_OUT: [HeaderName; 11] = [
    header::CONNECTION,
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
    header::EXPECT,
    header::ACCEPT,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-forwarded-for"),
];

/// A request as it came from another node.
pub(crate) struct Request {
    pub asked: Asked,
    pub body: Result<Bytes, Fault>,
    pub vouched: Vouched,
    pub counted: Option<Option<Shown>>,
    pub admitted: bool,
}

/// What a node says that does not lead the shard that a request needs.
pub(crate) struct NotHere {
    pub elsewhere: Elsewhere,
    /// Who leads, as far as it knows.
    pub hint: Option<u64>,
    pub counted: Option<Option<Shown>>,
    pub admitted: bool,
}

impl NotHere {
    /// What is to be known of a request that has to go elsewhere.
    pub fn of(elsewhere: Elsewhere, hint: Option<u64>, trail: &Trail<'_>) -> Self {
        let elsewhere = Elsewhere { vouched: trail.vouched, ..elsewhere };
        Self { elsewhere, hint, counted: trail.counted, admitted: trail.admitted }
    }
}

/// What another node says to a request.
pub(super) enum Reply {
    Answer(Response),
    NotHere(NotHere),
    Unsettled(ShardId),
}

const HAS_TOKEN: u8 = 1;
const IS_OPERATOR: u8 = 2;
const IS_COUNTED: u8 = 4;
const IS_SHOWN: u8 = 8;
const IS_ADMITTED: u8 = 16;

/// All of a request but its body, which follows it.
pub(super) fn request(asked: &Asked, trail: &Trail<'_>, fault: Option<Fault>) -> Bytes {
    let mut out = Vec::with_capacity(1536);
    out.put_u8(VERSION);
    out.put_u8(match asked.door {
        Door::Public => 0,
        Door::Admin => 1,
    });
    out.put_u8(fault.map_or(0, Fault::code));
    short(&mut out, asked.method.as_str().as_bytes());
    long(&mut out, asked.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    match asked.client {
        IpAddr::V4(address) => short(&mut out, &address.octets()),
        IpAddr::V6(address) => short(&mut out, &address.octets()),
    }
    short(&mut out, asked.request_id.as_bytes());
    let operation = asked.operation.unwrap_or_default();
    out.put_u64(operation.node);
    out.put_u64(operation.incarnation);
    out.put_u64(operation.number);
    known(&mut out, trail.vouched, trail.counted, trail.admitted);
    write_headers(&mut out, &asked.headers, |name| LEFT_OUT.contains(name));
    out.into()
}

/// A request that another node has written, if it is one.
pub(super) fn read_request(mut from: Bytes) -> Option<Request> {
    (from.try_get_u8().ok()? == VERSION).then_some(())?;
    let door = if from.try_get_u8().ok()? == 0 { Door::Public } else { Door::Admin };
    let fault = Fault::from_code(from.try_get_u8().ok()?);
    let method = Method::from_bytes(&read_short(&mut from)?).ok()?;
    let uri = Uri::from_maybe_shared(read_long(&mut from)?).ok()?;
    let client = read_short(&mut from)?;
    let client = match client.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(&client[..]).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(&client[..]).ok()?),
    };
    let request_id = HeaderValue::from_maybe_shared(read_short(&mut from)?).ok()?;
    let operation = Operation {
        node: from.try_get_u64().ok()?,
        incarnation: from.try_get_u64().ok()?,
        number: from.try_get_u64().ok()?,
    };
    let (vouched, counted, admitted) = read_known(&mut from)?;
    let headers = read_headers(&mut from)?.into();
    let operation = (operation != Operation::default()).then_some(operation);
    let asked = Asked { door, method, uri, headers, client, request_id, operation };
    let body = fault.map_or(Ok(from), Err);
    Some(Request { asked, body, vouched, counted, admitted })
}

/// All of an answer but its body, which follows it, at once or in pieces.
pub(super) fn answer(head: &response::Parts, in_pieces: bool) -> Bytes {
    let mut out = Vec::with_capacity(512);
    out.put_u8(if in_pieces { 3 } else { 0 });
    out.put_u16(head.status.as_u16());
    write_headers(&mut out, &head.headers, |_| false);
    out.into()
}

/// Ask another node.
pub(super) fn not_here(not_here: &NotHere) -> Bytes {
    let mut out = Vec::with_capacity(128);
    out.put_u8(1);
    out.put_u16(not_here.elsewhere.shard.0);
    out.put_u64(not_here.hint.unwrap_or(0));
    known(&mut out, not_here.elsewhere.vouched, not_here.counted, not_here.admitted);
    out.into()
}

/// Nobody knows.
pub(super) fn unsettled(shard: ShardId) -> Bytes {
    let mut out = Vec::with_capacity(3);
    out.put_u8(2);
    out.put_u16(shard.0);
    out.into()
}

/// What another node has written, if it can be read.
pub(super) fn reply(Replied { bytes: mut from, rest }: Replied) -> Option<Reply> {
    match from.try_get_u8().ok()? {
        kind @ (0 | 3) => {
            let status = StatusCode::from_u16(from.try_get_u16().ok()?).ok()?;
            let headers = read_headers(&mut from)?;
            let body = if kind == 0 { from.into() } else { worker::body_of(rest?) };
            let mut response = Response::new(body);
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Some(Reply::Answer(response))
        }
        1 => {
            let shard = ShardId(from.try_get_u16().ok()?);
            let hint = Some(from.try_get_u64().ok()?).filter(|node| *node != 0);
            let (vouched, counted, admitted) = read_known(&mut from)?;
            let elsewhere = Elsewhere { shard, vouched };
            Some(Reply::NotHere(NotHere { elsewhere, hint, counted, admitted }))
        }
        2 => Some(Reply::Unsettled(ShardId(from.try_get_u16().ok()?))),
        _ => None,
    }
}

/// What one node has found out and another need not.
fn known(out: &mut Vec<u8>, vouched: Vouched, counted: Option<Option<Shown>>, admitted: bool) {
    let shown = counted.flatten();
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.put_u8(
        flag(vouched.token.is_some(), HAS_TOKEN)
            | flag(vouched.operator, IS_OPERATOR)
            | flag(counted.is_some(), IS_COUNTED)
            | flag(shown.is_some(), IS_SHOWN)
            | flag(admitted, IS_ADMITTED),
    );
    if let Some(token) = vouched.token {
        out.put_u32(token.tenant.0);
        out.put_slice(token.user.as_bytes());
        out.put_slice(token.session.as_bytes());
        out.put_u64(token.expires.0);
    }
    if let Some(shown) = shown {
        short(out, shown.bucket.as_bytes());
        out.put_u32(shown.limit);
        out.put_u32(shown.remaining);
        out.put_u64(shown.reset);
    }
}

type Known = (Vouched, Option<Option<Shown>>, bool);

fn read_known(from: &mut Bytes) -> Option<Known> {
    let flags = from.try_get_u8().ok()?;
    let has = |flag: u8| flags & flag != 0;
    let token = if has(HAS_TOKEN) { Some(read_token(from)?) } else { None };
    let shown = if has(IS_SHOWN) { Some(read_shown(from)?) } else { None };
    let counted = has(IS_COUNTED).then_some(shown);
    Some((Vouched { token, operator: has(IS_OPERATOR) }, counted, has(IS_ADMITTED)))
}

fn read_token(from: &mut Bytes) -> Option<VerifiedToken> {
    let tenant = TenantNumber(from.try_get_u32().ok()?);
    let (mut user, mut session) = ([0; 16], [0; 16]);
    from.try_copy_to_slice(&mut user).ok()?;
    from.try_copy_to_slice(&mut session).ok()?;
    Some(VerifiedToken {
        tenant,
        user: UserId::from_bytes(user),
        session: SessionId::from_bytes(session),
        expires: Moment(from.try_get_u64().ok()?),
    })
}

fn read_shown(from: &mut Bytes) -> Option<Shown> {
    let bucket = read_short(from)?;
    Some(Shown {
        bucket: Shown::bucket_named(std::str::from_utf8(&bucket).ok()?),
        limit: from.try_get_u32().ok()?,
        remaining: from.try_get_u32().ok()?,
        reset: from.try_get_u64().ok()?,
    })
}

fn write_headers(out: &mut Vec<u8>, headers: &HeaderMap, left_out: impl Fn(&HeaderName) -> bool) {
    let at = out.len();
    out.put_u16(0);
    let mut count: u16 = 0;
    for (name, value) in headers {
        if left_out(name) {
            continue;
        }
        // The head of a request is limited to far less than these lengths can say.
        out.put_u16(name.as_str().len() as u16);
        out.put_slice(name.as_str().as_bytes());
        long(out, value.as_bytes());
        count += 1;
    }
    out[at..at + 2].copy_from_slice(&count.to_be_bytes());
}

fn read_headers(from: &mut Bytes) -> Option<HeaderMap> {
    let count = from.try_get_u16().ok()?;
    // Room for what the pipeline adds.
    let mut headers = HeaderMap::with_capacity(usize::from(count).min(512) + 12);
    for _ in 0..count {
        let length = from.try_get_u16().ok()?;
        let name = HeaderName::from_bytes(&take(from, length.into())?).ok()?;
        headers.append(name, HeaderValue::from_maybe_shared(read_long(from)?).ok()?);
    }
    Some(headers)
}

/// At most 255 bytes.
fn short(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(255)];
    out.put_u8(bytes.len() as u8);
    out.put_slice(bytes);
}

fn read_short(from: &mut Bytes) -> Option<Bytes> {
    let length = from.try_get_u8().ok()?;
    take(from, length.into())
}

fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

fn read_long(from: &mut Bytes) -> Option<Bytes> {
    let length = from.try_get_u32().ok()?;
    take(from, length as usize)
}

fn take(from: &mut Bytes, length: usize) -> Option<Bytes> {
    (from.remaining() >= length).then(|| from.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer a.b.c"));
        headers.insert("host", HeaderValue::from_static("id.example"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.9"));
        headers.append("x-tag", HeaderValue::from_static("one"));
        headers.append("x-tag", HeaderValue::from_bytes(b"tw\xf6").unwrap());
        Asked {
            door: Door::Admin,
            method: Method::PATCH,
            uri: "/users/me?x=1%202".parse().unwrap(),
            headers: headers.into(),
            client: "2001:db8::7".parse().unwrap(),
            request_id: HeaderValue::from_static("req_1"),
            operation: Some(Operation { node: 3, incarnation: 4, number: 5 }),
        }
    }

    fn token() -> VerifiedToken {
        VerifiedToken {
            tenant: TenantNumber(70_000),
            user: UserId::new(1, 2),
            session: SessionId::new(3, 4),
            expires: Moment(5),
        }
    }

    const SHOWN: Shown = Shown { bucket: "auth", limit: 10, remaining: 3, reset: 1_736_937_000 };

    fn trail() -> Trail<'static> {
        let vouched = Vouched { token: Some(token()), operator: true };
        Trail { vouched, counted: Some(Some(SHOWN)), admitted: true, ..Trail::default() }
    }

    fn sent(asked: &Asked, trail: &Trail<'_>, fault: Option<Fault>, body: &[u8]) -> Bytes {
        [&request(asked, trail, fault)[..], body].concat().into()
    }

    #[test]
    fn a_request_arrives_as_it_was_sent_but_for_what_concerns_its_connection() {
        let read = read_request(sent(&asked(), &trail(), None, b"{}")).expect("a request");
        let expected = asked();
        assert_eq!((read.asked.door, &read.asked.method), (Door::Admin, &Method::PATCH));
        assert_eq!(read.asked.uri, expected.uri);
        assert_eq!(read.asked.client, expected.client);
        assert_eq!(read.asked.request_id, expected.request_id);
        assert_eq!(read.asked.operation, expected.operation);
        assert_eq!(read.body, Ok(Bytes::from_static(b"{}")));
        assert_eq!(read.vouched, trail().vouched);
        assert_eq!((read.counted, read.admitted), (Some(Some(SHOWN)), true));
        let mut headers = HeaderMap::clone(&expected.headers);
        headers.remove("host");
        headers.remove("x-forwarded-for");
        assert_eq!(*read.asked.headers, headers);
    }

    #[test]
    fn a_body_that_could_not_be_read_is_not_taken_for_an_empty_one() {
        let sent = sent(&asked(), &Trail::default(), Some(Fault::Late), b"");
        let read = read_request(sent).expect("a request");
        assert_eq!(read.body, Err(Fault::Late));
        assert_eq!((read.counted, read.vouched), (None, Vouched::default()));
    }

    #[test]
    fn what_is_cut_short_or_of_another_version_is_no_request() {
        let whole = sent(&asked(), &trail(), None, b"");
        for length in 0..whole.len() {
            assert!(read_request(whole.slice(..length)).is_none(), "{length} bytes of it");
        }
        let mut other = whole.to_vec();
        other[0] = VERSION + 1;
        assert!(read_request(other.into()).is_none());
    }

    fn whole(bytes: impl Into<Bytes>) -> Replied {
        Replied { bytes: bytes.into(), rest: None }
    }

    #[test]
    fn each_reply_is_told_from_the_others() {
        let response = http::Response::builder().status(409).header("x-a", "b").body(()).unwrap();
        let sent = [&answer(&response.into_parts().0, false)[..], b"no"].concat();
        let Some(Reply::Answer(read)) = reply(whole(sent)) else { panic!("no answer") };
        assert_eq!(read.status(), 409);
        assert_eq!(read.headers()["x-a"], "b");
        let elsewhere = Elsewhere { shard: ShardId(9), vouched: Vouched::default() };
        let sent = not_here(&NotHere::of(elsewhere, Some(2), &trail()));
        let Some(Reply::NotHere(read)) = reply(whole(sent)) else { panic!("no hint") };
        assert_eq!((read.elsewhere.shard, read.hint), (ShardId(9), Some(2)));
        assert_eq!((read.elsewhere.vouched, read.counted), (trail().vouched, Some(Some(SHOWN))));
        assert!(matches!(reply(whole(unsettled(ShardId(3)))), Some(Reply::Unsettled(ShardId(3)))));
        assert!(reply(whole(Bytes::new())).is_none());
    }
}
