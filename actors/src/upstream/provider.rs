//! Which providers there are, for one tenant: those of the deployment, over which the tenant has its
//! own.

use janua_storage::secret::Secret;
use url::Url;

use crate::redirect::ReturnUrl;
use crate::settings;

/// The providers that are built in.
pub const KNOWN: [&str; 3] = ["google", "github", "microsoft"];

const GOOGLE: &str = "https://accounts.google.com";
const GITHUB: &str = "https://github.com";
const GITHUB_API: &str = "https://api.github.com";
const MICROSOFT: &str = "https://login.microsoftonline.com";

/// Hosts of Microsoft's clouds, whose addresses are verified only where they say so.
const MICROSOFT_HOSTS: [&str; 3] =
    ["login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"];

/// A provider of the deployment.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// Our name there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Option<Secret>,
    /// For OpenID Connect discovery.
    pub issuer: Option<String>,
    /// Where a GitHub Enterprise Server or another Microsoft cloud is.
    pub base_url: Option<String>,
    /// Where the provider may send browsers back to.
    pub redirect_uris: Vec<String>,
}

/// How a provider is spoken with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// OpenID Connect.
    OpenId {
        /// The issuer, as its documents are found.
        issuer: String,
        /// Whether it is Microsoft.
        dialect: Dialect,
    },
    /// GitHub, which has no OpenID Connect for users.
    GitHub {
        /// What browsers see.
        web: Url,
        /// What programs ask.
        api: Url,
    },
}

/// What an issuer does otherwise than the standard has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Nothing.
    Standard,
    /// Microsoft: `email` may be anybody's, unless `xms_edov` says that the owner of its domain has
    /// been seen (the "nOAuth" weakness).
    Microsoft {
        /// Whether it is any of Microsoft's tenants, each of which is an issuer of its own.
        any_tenant: bool,
    },
}

/// A provider of one tenant.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Our name for it.
    pub name: String,
    /// How it is spoken with.
    pub kind: Kind,
    /// Our name there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Option<Secret>,
    /// Where it may send browsers back to.
    pub redirect_uris: Vec<String>,
    /// The host that the operator has named.
    pub host: Option<String>,
}

impl Provider {
    /// The provider `name`, if the tenant has it and has not switched it off. `secret` is the
    /// tenant's own, opened.
    pub fn find(
        name: &str,
        configured: Option<&Configured>,
        own: Option<&settings::Provider>,
        secret: Option<Secret>,
    ) -> Option<Self> {
        let merged = match (own, configured) {
            (Some(own), _) if !own.enabled => return None,
            (Some(own), _) if !own.client_id.is_empty() => Configured {
                client_id: own.client_id.clone(),
                client_secret: secret,
                issuer: Some(own.issuer.clone()).filter(|issuer| !issuer.is_empty()),
                ..Configured::default()
            },
            (_, configured) => configured?.clone(),
        };
        let kind = Kind::of(name, merged.issuer.as_deref(), merged.base_url.as_deref())?;
        Some(Self {
            name: name.into(),
            host: kind.host(),
            kind,
            client_id: merged.client_id,
            client_secret: merged.client_secret,
            redirect_uris: merged.redirect_uris,
        })
    }

    /// Where the provider sends a browser that is to end at `page`: to the page itself, where it is
    /// registered there, otherwise here.
    pub fn redirect_uri(&self, page: &ReturnUrl, public_url: &str) -> String {
        let registered = self.redirect_uris.iter().map(String::as_str);
        if let Some(page) = ReturnUrl::among(registered, page.as_str()) {
            return page.as_str().to_owned();
        }
        let path = format!("/auth/oauth/{}/callback", self.name);
        let here = self.redirect_uris.iter().find(|uri| uri.ends_with(&path));
        here.cloned().unwrap_or_else(|| format!("{public_url}{path}"))
    }
}

impl Kind {
    fn of(name: &str, issuer: Option<&str>, base: Option<&str>) -> Option<Self> {
        if let Some(issuer) = issuer {
            let host = Url::parse(issuer).ok()?.host_str()?.to_owned();
            let microsoft = MICROSOFT_HOSTS.contains(&host.as_str());
            let dialect = if microsoft {
                Dialect::Microsoft { any_tenant: false }
            } else {
                Dialect::Standard
            };
            return Some(Self::OpenId { issuer: issuer.into(), dialect });
        }
        match name {
            "google" => Some(Self::OpenId { issuer: GOOGLE.into(), dialect: Dialect::Standard }),
            "microsoft" => {
                let issuer = format!("{}/common/v2.0", base.unwrap_or(MICROSOFT));
                Some(Self::OpenId { issuer, dialect: Dialect::Microsoft { any_tenant: true } })
            }
            "github" => {
                let api = base.map_or(GITHUB_API.into(), |base| format!("{base}/api/v3"));
                let web = Url::parse(base.unwrap_or(GITHUB)).ok()?;
                Some(Self::GitHub { web, api: Url::parse(&api).ok()? })
            }
            _ => None,
        }
    }

    fn host(&self) -> Option<String> {
        match self {
            Self::OpenId { issuer, .. } => Url::parse(issuer).ok()?.host_str().map(str::to_owned),
            Self::GitHub { web, .. } => web.host_str().map(str::to_owned),
        }
    }
}

/// What people call a provider.
pub fn name_of(provider: &str) -> String {
    match provider {
        "google" => "Google".into(),
        "github" => "GitHub".into(),
        "microsoft" => "Microsoft".into(),
        other => {
            let mut letters = other.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(client_id: &str, enabled: bool) -> settings::Provider {
        let issuer = "https://own.example".into();
        settings::Provider { client_id: client_id.into(), client_secret: None, issuer, enabled }
    }

    fn deployed() -> Configured {
        Configured { client_id: "deployed".into(), ..Configured::default() }
    }

    #[test]
    fn a_tenant_s_own_provider_comes_before_the_deployment_s() {
        let find = |configured: Option<&Configured>, own: Option<&settings::Provider>| {
            Provider::find("google", configured, own, None).map(|found| found.client_id)
        };
        let deployed = deployed();
        assert_eq!(find(Some(&deployed), None).as_deref(), Some("deployed"));
        assert_eq!(find(Some(&deployed), Some(&own("mine", true))).as_deref(), Some("mine"));
        assert_eq!(find(Some(&deployed), Some(&own("", true))).as_deref(), Some("deployed"));
        assert_eq!(find(Some(&deployed), Some(&own("", false))), None);
        assert_eq!(find(None, Some(&own("", true))), None);
        assert_eq!(find(None, None), None);
    }

    #[test]
    fn a_browser_comes_back_to_a_registered_page_or_here() {
        let page = "https://app.example/cb";
        let mut found = Provider::find("google", Some(&deployed()), None, None).expect("one");
        let returns = ReturnUrl::among([page], page).expect("a page");
        let back = |found: &Provider| found.redirect_uri(&returns, "https://id.example");
        assert_eq!(back(&found), "https://id.example/auth/oauth/google/callback");
        found.redirect_uris = vec!["https://b.example/auth/oauth/google/callback".into()];
        assert_eq!(back(&found), found.redirect_uris[0]);
        found.redirect_uris.push(page.into());
        assert_eq!(back(&found), page);
    }

    #[test]
    fn microsoft_is_known_by_its_name_and_by_its_hosts() {
        let any = Kind::of("microsoft", None, None).expect("built in");
        let issuer = "https://login.microsoftonline.com/common/v2.0".to_owned();
        let dialect = Dialect::Microsoft { any_tenant: true };
        assert_eq!(any, Kind::OpenId { issuer, dialect });
        let issuer = "https://login.microsoftonline.com/0d9c/v2.0";
        let one = Kind::of("work", Some(issuer), None).expect("an issuer");
        let dialect = Dialect::Microsoft { any_tenant: false };
        assert_eq!(one, Kind::OpenId { issuer: issuer.into(), dialect });
    }
}
